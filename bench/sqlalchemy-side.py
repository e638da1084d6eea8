"""SQLAlchemy's side of the benchmark: a thread pool, with a session for each job, which inserts a row and commits.

Runs one round for each line that it reads, and answers with the milliseconds of the round.
"""

import sys
import time
from multiprocessing.pool import ThreadPool

from sqlalchemy import Column, Integer, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import declarative_base, sessionmaker

database_url, inputs, pool_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

Base = declarative_base()


class Item(Base):
    __tablename__ = "item"

    id = Column(Integer, primary_key=True)
    value = Column(Integer, nullable=False)


engine = create_engine(
    make_url(database_url).set(drivername="postgresql+psycopg2"), pool_size=pool_size, max_overflow=0
)
Session = sessionmaker(engine)


def insert(value):
    with Session() as session:
        session.add(Item(value=value))
        session.commit()


with ThreadPool(pool_size) as threads:
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        threads.map(insert, range(inputs))
        print((time.perf_counter() - start) * 1000, flush=True)
engine.dispose()

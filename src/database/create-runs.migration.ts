import { Migration } from '@mikro-orm/migrations';

/** Creates the tables of the runs and of their factorisations. */
export class CreateRuns extends Migration {
  override readonly name = '2026-01-create-runs';

  override up(): void {
    this.addSql(`
      create table "run" (
        "id" uuid not null primary key,
        "state" text not null,
        "total" int not null,
        "done" int not null,
        "failed" int not null,
        "concurrency" int not null,
        "request_session_id" uuid not null,
        "created_at" timestamptz(3) not null,
        "started_at" timestamptz(3) null,
        "finished_at" timestamptz(3) null,
        constraint "run_state_check" check ("state" in ('pending', 'running', 'done', 'cancelled', 'interrupted'))
      )`);
    this.addSql('create index "run_created_at_index" on "run" ("created_at")');
    this.addSql(`
      create table "factorisation" (
        "run_id" uuid not null,
        "index" int not null,
        "number" bigint not null,
        "status" text not null,
        "factors" bigint[] null,
        "error" text null,
        "session_id" uuid null,
        "started_at" timestamptz(3) null,
        "finished_at" timestamptz(3) null,
        primary key ("run_id", "index"),
        constraint "factorisation_status_check" check ("status" in ('done', 'failed')),
        constraint "factorisation_run_id_foreign" foreign key ("run_id") references "run" ("id") on delete cascade
      )`);
  }

  override down(): void {
    this.addSql('drop table "factorisation"');
    this.addSql('drop table "run"');
  }
}

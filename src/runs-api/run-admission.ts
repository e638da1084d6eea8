import { Injectable } from '@nestjs/common';

import { assertRoomFor, type RunLoad } from '../runs/assert-room-for.js';

/** Counts the runs that are being started and are not stored yet. */
@Injectable()
export class RunAdmission {
  #runs = 0;
  #numbers = 0;

  /**
   * Returns a function. Call it when the run is stored, or will not be stored.
   *
   * @throws {OverloadedException} when there is no room for the run
   */
  enter(count: number, { runs, numbers }: RunLoad): () => void {
    assertRoomFor(count, { runs: runs + this.#runs, numbers: numbers + this.#numbers });
    this.#runs += 1;
    this.#numbers += count;
    return () => {
      this.#runs -= 1;
      this.#numbers -= count;
    };
  }
}

import { Injectable } from '@nestjs/common';

import { assertRoomFor, type RunLoad } from './assert-room-for.js';

/** Counts the runs that are being started, which nobody else knows of yet. */
@Injectable()
export class RunAdmission {
  #runs = 0;
  #numbers = 0;

  /**
   * Returns the function to call when the run is stored, or is not to be.
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

import { Injectable } from '@nestjs/common';

function createTwin(): new () => { handle(input: number): number } {
  @Injectable()
  class Twin {
    handle(input: number): number {
      return input;
    }
  }
  return Twin;
}

/** Two classes of one name. */
export const twins = [createTwin(), createTwin()];

/** Thrown by a job that a client has told to fail. Out of a thread comes its name, but not its class. */
export class SimulatedFailure extends Error {
  override readonly name = 'SimulatedFailure';

  constructor(number: number) {
    super(`Told to fail on ${number}`);
  }
}

/** Thrown by a job that a client told to fail. Its name survives the way out of a thread; its class does not. */
export class SimulatedFailure extends Error {
  override readonly name = 'SimulatedFailure';

  constructor(number: number) {
    super(`Told to fail on ${number}`);
  }
}

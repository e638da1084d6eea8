/**
 * Tells the inputs of the queues to the compiler. Add yours, in the file of their handler:
 *
 * @example
 * declare module 'nestjs-mikro-session/pg-boss' {
 *   interface QueueInputs {
 *     factorise: number;
 *   }
 * }
 */
// An interface, because only that can be added to.
export interface QueueInputs {}

/** A queue that the compiler has been told of, or any name while it has been told of none. */
export type QueueName = keyof QueueInputs extends never ? string : Extract<keyof QueueInputs, string>;

export type QueueInput<Name extends string> = Name extends keyof QueueInputs ? QueueInputs[Name] : unknown;

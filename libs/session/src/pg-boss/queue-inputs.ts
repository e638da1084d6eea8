/**
 * Declares the type of the input of each queue. Add yours in the file of the handler:
 *
 * @example
 * declare module 'nestjs-mikro-session/pg-boss' {
 *   interface QueueInputs {
 *     factorise: number;
 *   }
 * }
 */
// An interface, because the application can extend only an interface.
export interface QueueInputs {}

/** The name of a queue that QueueInputs declares. Any name while it declares none. */
export type QueueName = keyof QueueInputs extends never ? string : Extract<keyof QueueInputs, string>;

/** The type of the input of a queue. `unknown` where QueueInputs does not declare the queue. */
export type QueueInput<Name extends string> = Name extends keyof QueueInputs ? QueueInputs[Name] : unknown;

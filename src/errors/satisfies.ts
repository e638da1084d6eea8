import { registerDecorator, ValidateIf, type ValidationArguments, type ValidationError } from 'class-validator';

import { InvalidRequestException } from './invalid-request.exception.js';
import type { FieldProblem } from './field-problem.js';

/** One fault of a value. `at` is its position in the value, such as `[3]`. */
export interface Finding {
  readonly at?: string;
  readonly reason: string;
}

/** Returns the faults of a value, or an empty list. `body` is the object that has the value. */
export type Rule = (value: unknown, body: object) => readonly Finding[];

/** Checks a property with a rule. Unlike the decorators of class-validator, it can name the items of a list. */
export function Satisfies(rule: Rule): PropertyDecorator {
  return (target, property) => {
    registerDecorator({
      name: Satisfies.name,
      target: target.constructor,
      propertyName: String(property),
      options: { context: { rule } },
      validator: {
        validate: (value: unknown, args?: ValidationArguments) => rule(value, args?.object ?? {}).length === 0,
        // The rule is called again for the answer. class-validator reports only properties with a message.
        defaultMessage: () => Satisfies.name,
      },
    });
  };
}

/** Marks a property as optional. `null` does not count as left out. */
export function MayBeLeftOut(): PropertyDecorator {
  return ValidateIf((_body, value) => value !== undefined);
}

/** Turns the errors of the validation into the exception for the answer. */
export function toInvalidRequest(errors: readonly ValidationError[]): InvalidRequestException {
  return new InvalidRequestException(errors.flatMap((error) => toProblems(error)));
}

function toProblems(error: ValidationError, parent = ''): FieldProblem[] {
  const field = parent === '' ? error.property : `${parent}.${error.property}`;
  const own = Object.entries(error.constraints ?? {}).flatMap(([name, message]) => {
    const { rule } = (error.contexts?.[name] ?? {}) as { readonly rule?: Rule };
    const findings = rule?.(error.value, error.target ?? {}) ?? [{ reason: toReason(name, message) }];
    return findings.map(({ at = '', reason }) => ({ field: field + at, reason }));
  });
  return [...own, ...(error.children ?? []).flatMap((child) => toProblems(child, field))];
}

function toReason(constraint: string, message: string): string {
  return constraint === 'whitelistValidation' ? 'there is no such field' : message;
}

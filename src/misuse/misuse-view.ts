import { ApiProperty } from '@nestjs/swagger';
import type { SessionError } from 'nestjs-mikro-session';

/** The error that a misuse led to. */
export class MisuseView {
  @ApiProperty({ example: 'SessionClosedError' })
  readonly error!: string;

  @ApiProperty({ example: 'SESSION_CLOSED' })
  readonly code!: string;

  @ApiProperty({ description: 'What failed, why, and what to do.' })
  readonly message!: string;

  @ApiProperty({
    example: 'docs/troubleshooting.md#session_closed',
    description: 'Where the documentation of the library explains the error.',
  })
  readonly help!: string;
}

export function toMisuseView({ name, code, message, help }: SessionError): MisuseView {
  return { error: name, code, message, help };
}

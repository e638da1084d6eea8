const FRAME = /^at .*:\d+:\d+\)?$/;
const NOT_THE_USERS = /node:|[\\/](@mikro-orm|@nestjs|nestjs-mikro-session|libs[\\/]session[\\/](src|dist))[\\/]/;

/** Returns the first line of a stack that is code of the user: not of MikroORM, NestJS or this library. */
export function findUserFrame(stack = ''): string | undefined {
  const lines = stack.split('\n').map((line) => line.trim());
  const resumed = lines.findIndex((line) => line.startsWith('at async ') || line.includes('processTicksAndRejections'));
  return lines
    .slice(0, resumed === -1 ? lines.length : resumed)
    .find((line) => FRAME.test(line) && !NOT_THE_USERS.test(line));
}

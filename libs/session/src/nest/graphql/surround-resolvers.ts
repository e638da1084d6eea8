import type { ResolveInfo, Resolver } from './describe-operation.js';

interface Field {
  resolve?: Resolver | undefined;
  subscribe?: Resolver | undefined;
}

interface ObjectType {
  readonly name: string;
  getFields(): Readonly<Record<string, Field>>;
}

/** The member of a GraphQLSchema that is used here. */
export interface Schema {
  getTypeMap(): Readonly<Record<string, { readonly [Symbol.toStringTag]: string }>>;
}

export interface ResolverHooks {
  /** Runs a resolver of a field that is code of the user. */
  resolve(context: unknown, info: ResolveInfo, work: () => unknown): unknown;
  /** Runs the code that starts a subscription. */
  subscribe(context: unknown, info: ResolveInfo, work: () => unknown): unknown;
  /** Resolves the fields without a resolver. @default reads the property, or calls the method, of that name */
  readonly defaultResolver?: Resolver | undefined;
}

/** Makes all resolvers of a schema run inside these hooks. */
export function surroundResolvers(schema: Schema, hooks: ResolverHooks): void {
  for (const field of findFields(schema)) {
    const { resolve = hooks.defaultResolver ?? readMember, subscribe } = field;
    field.resolve = isReader(resolve) ? surroundReader(resolve, hooks.resolve) : surround(resolve, hooks.resolve);
    if (subscribe !== undefined) {
      field.subscribe = surround(subscribe, hooks.subscribe);
    }
  }
}

function* findFields(schema: Schema): Iterable<Field> {
  for (const [name, type] of Object.entries(schema.getTypeMap())) {
    if (type[Symbol.toStringTag] === 'GraphQLObjectType' && !name.startsWith('__')) {
      yield* Object.values((type as unknown as ObjectType).getFields());
    }
  }
}

function surround(resolver: Resolver, around: ResolverHooks['resolve']): Resolver {
  return (source, args, context, info) => around(context, info, () => resolver(source, args, context, info));
}

/** Whether a resolver only reads a property of its source: the default one of GraphQL, and that of @nestjs/graphql. */
function isReader(resolver: Resolver): boolean {
  // Seam: nestjs/graphql-readers
  return resolver === readMember || (resolver.name === 'rootFieldResolver' && resolver.length === 1);
}

/**
 * Surrounds a reader only where it calls a method. Nearly all fields are plain properties: reading them runs no code of
 * the user, and stays as fast as before.
 */
function surroundReader(reader: Resolver, around: ResolverHooks['resolve']): Resolver {
  const surrounded = surround(reader, around);
  return (source, args, context, info) =>
    isObject(source) && Object.hasOwn(source, info.fieldName) && typeof source[info.fieldName] !== 'function'
      ? reader(source, args, context, info)
      : surrounded(source, args, context, info);
}

/** Resolves a field as GraphQL does by default: reads the property, or calls the method, with the name of the field. */
function readMember(source: unknown, args: unknown, context: unknown, info: ResolveInfo): unknown {
  if (!isObject(source)) {
    return undefined;
  }
  const value = source[info.fieldName];
  return typeof value === 'function' ? (value as Method).call(source, args, context, info) : value;
}

type Method = (this: unknown, args: unknown, context: unknown, info: ResolveInfo) => unknown;

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

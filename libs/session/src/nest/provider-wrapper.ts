import type { InjectionToken, Scope } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

/** The members of NestJS's wrapper of a provider or controller that are used here. */
export interface ProviderWrapper {
  readonly token: InjectionToken;
  readonly name: string;
  readonly scope?: Scope | undefined;
  readonly durable?: boolean | undefined;
  readonly metatype: unknown;
  /** What a factory injects. */
  readonly inject?: readonly unknown[] | null | undefined;
  getCtorMetadata(): readonly (ProviderWrapper | undefined)[] | undefined;
  getPropertiesMetadata(): readonly { readonly wrapper: ProviderWrapper }[] | undefined;
  getEnhancersMetadata(): readonly ProviderWrapper[] | undefined;
}

/** Lists all providers, controllers and injectables of an application. */
export function listProviders(modules: ModulesContainer): ProviderWrapper[] {
  return [...modules.values()].flatMap(({ controllers, providers, injectables, middlewares }) =>
    [controllers, providers, injectables, middlewares].flatMap((all) => [...all.values()]),
  );
}

/** Returns a provider and all its dependencies, direct and indirect. */
export function reachableFrom(wrapper: ProviderWrapper, findDependencies = dependenciesOf): ProviderWrapper[] {
  const reached = new Set([wrapper]);
  for (const each of reached) {
    findDependencies(each).forEach((dependency) => reached.add(dependency));
  }
  return [...reached];
}

/** Returns the providers that a provider injects, and the guards, pipes, interceptors and filters of a controller. */
export function dependenciesOf(wrapper: ProviderWrapper): ProviderWrapper[] {
  return [...injectedBy(wrapper), ...(wrapper.getEnhancersMetadata() ?? [])];
}

/** Returns the providers that a provider injects. */
export function injectedBy(wrapper: ProviderWrapper): ProviderWrapper[] {
  return [
    ...(wrapper.getCtorMetadata() ?? []),
    ...(wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper),
  ].filter((dependency) => dependency !== undefined);
}

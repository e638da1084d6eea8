// The doors that need no package but those that an application must have.
export * from 'nestjs-mikro-session';
export * from 'nestjs-mikro-session/testing';

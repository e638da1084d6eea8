// Jest sets 100, and finds the source of every frame. A test that reads stacks reads those that an application has.
Error.stackTraceLimit = 10;

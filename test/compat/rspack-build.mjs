// Bundles and minifies the application in the folder that this file was copied to. Its arguments are what stays outside.
import { rspack } from '@rspack/core';

const outside = process.argv.slice(2).map((name) => name.replace(/\*.*/, ''));
const compiler = rspack({
  mode: 'production',
  target: 'node22',
  entry: './src/main-core.ts',
  output: { path: `${import.meta.dirname}/dist`, filename: 'main.cjs', clean: true },
  externals: [
    ({ request = '' }, done) =>
      outside.some((name) => request === name || request.startsWith(`${name}/`))
        ? done(undefined, `commonjs ${request}`)
        : done(),
  ],
  resolve: { extensions: ['.ts', '.js'], extensionAlias: { '.js': ['.ts', '.js'] } },
  module: {
    rules: [
      {
        test: /\.ts$/,
        loader: 'builtin:swc-loader',
        options: {
          jsc: {
            target: 'es2022',
            parser: { syntax: 'typescript', decorators: true },
            transform: { legacyDecorator: true, decoratorMetadata: true },
          },
        },
      },
    ],
  },
  optimization: { minimize: true },
});
compiler.run((error, stats) => {
  if (error || stats?.hasErrors()) {
    process.stderr.write(String(error ?? stats?.toString({ all: false, errors: true })));
    process.exitCode = 1;
  }
  compiler.close(() => undefined);
});

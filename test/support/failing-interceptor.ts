import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { concatMap, type Observable } from 'rxjs';

/** Throws when the handler is done. */
@Injectable()
export class FailingInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, handler: CallHandler): Observable<unknown> {
    return handler.handle().pipe(
      concatMap(async () => {
        throw new Error('after the handler');
      }),
    );
  }
}

import 'reflect-metadata';
import type { IncomingMessage } from 'node:http';

import {
  Controller,
  ForbiddenException,
  Get,
  Inject,
  NotFoundException,
  Param,
  Post,
  Req,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';

import { WithoutTransaction } from '../../nest/http/without-transaction.js';
import { Inspector } from '../state/inspector.js';
import { EventClients } from './event-clients.js';
import { InspectorGuard } from './inspector.guard.js';
import { type PageFile, renderPage, sendFile, sendText } from './page-file.js';
import { takeResponse } from './raw-response.js';

type AnyRequest = IncomingMessage & { readonly originalUrl?: string };

/**
 * Protects against forged requests: a page of another site can make a browser send a form, but not a header of its own.
 */
const GUARD_HEADER = 'x-session-inspector';

/** Serves the inspector. It writes its answers itself, so that no interceptor of the application changes them. */
@UseGuards(InspectorGuard)
abstract class InspectorController {
  @Inject(Inspector)
  private readonly inspector!: Inspector;
  @Inject(EventClients)
  private readonly clients!: EventClients;
  protected abstract readonly name: string;

  @WithoutTransaction()
  @Get(['', 'index.html'])
  page(@Req() request: AnyRequest, @Res() response: object): void {
    const { pathname } = new URL(request.originalUrl ?? request.url ?? '', 'http://localhost');
    // Relative, because a proxy may show another path to the browser.
    renderPage(takeResponse(response), /\/(?:index\.html)?$/.test(pathname) ? './' : `./${this.name}/`);
  }

  @WithoutTransaction()
  @Get('page.js')
  script(@Req() request: AnyRequest, @Res() response: object): void {
    this.#send('page.js', request, response);
  }

  @WithoutTransaction()
  @Get('page.css')
  style(@Req() request: AnyRequest, @Res() response: object): void {
    this.#send('page.css', request, response);
  }

  @WithoutTransaction()
  @Get('troubleshooting.html')
  guide(@Req() request: AnyRequest, @Res() response: object): void {
    this.#send('troubleshooting.html', request, response);
  }

  @WithoutTransaction()
  @Get('state')
  async state(@Res() response: object): Promise<void> {
    this.inspector.queues.refresh();
    await this.inspector.queues.settled();
    sendText(takeResponse(response), 'application/json; charset=utf-8', JSON.stringify(this.inspector.state));
  }

  @WithoutTransaction()
  @Get('events')
  events(@Res() response: object): void {
    this.clients.add(takeResponse(response));
  }

  @WithoutTransaction()
  @Post('scopes/:id/end')
  end(@Param('id') id: string, @Req() request: AnyRequest, @Res() response: object): void {
    if (!this.inspector.hasActions) {
      throw new ForbiddenException('Scopes can be ended only with SessionInspectorModule.forRoot({ actions: true }).');
    }
    if (request.headers[GUARD_HEADER] === undefined || !isSameOrigin(request)) {
      throw new ForbiddenException(`Send the header "${GUARD_HEADER}" from a page of this server.`);
    }
    if (!this.inspector.end(id)) {
      throw new NotFoundException('This scope has ended.');
    }
    sendText(takeResponse(response), 'application/json; charset=utf-8', '{"ended":true}');
  }

  #send(file: PageFile, { headers }: AnyRequest, response: object): void {
    sendFile(takeResponse(response), file, headers['accept-encoding']?.includes('gzip') === true);
  }
}

/** Makes the controller for the path of the page. */
export function createInspectorController(path: string): Type {
  const trimmed = path.replaceAll(/^\/|\/$/g, '');

  @Controller({ path: trimmed, version: VERSION_NEUTRAL })
  class PathController extends InspectorController {
    protected readonly name = trimmed.slice(trimmed.lastIndexOf('/') + 1);
  }

  return PathController;
}

function isSameOrigin({ headers }: AnyRequest): boolean {
  const site = headers['sec-fetch-site'];
  return site === undefined || site === 'same-origin';
}

import { openRoom } from '../support/rooms.js';

await openRoom(import.meta.dirname);

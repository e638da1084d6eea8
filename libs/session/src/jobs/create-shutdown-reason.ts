/** The reason for which work is cancelled, or not begun, when the application shuts down. */
export function createShutdownReason(): DOMException {
  return new DOMException('The application is shutting down', 'AbortError');
}

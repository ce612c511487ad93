/** @file Ctrl-C as an AbortSignal. It knows nothing about what is stopped. */

/** Acts with a signal that the first Ctrl-C aborts; the next one ends the process as usual. */
export const withInterrupt = async <Result>(act: (signal: AbortSignal) => Promise<Result>): Promise<Result> => {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  process.once("SIGINT", abort);
  try {
    return await act(controller.signal);
  } finally {
    process.removeListener("SIGINT", abort);
  }
};

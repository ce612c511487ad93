/** @file Worker threads with engines on them: calls by number, one thread for each engine or, where a device asks for that, one for all. */
import type { Worker } from "node:worker_threads";
import { LowrankError, messageOf, type ErrorCode } from "../util/index.ts";
import { isOfOneThread, type Device } from "./device.ts";
import type { Engine, EngineOptions } from "./ort-session.ts";
import type { Reply } from "./ort-worker.ts";
import { startWorker } from "./start-worker.ts";

type Method = keyof Engine;

/** An engine on a thread. */
export interface RemoteEngine {
  call<M extends Method>(method: M, ...parameters: Parameters<Engine[M]>): Promise<Awaited<ReturnType<Engine[M]>>>;
  /** The same, with buffers among the parameters that move to the thread instead of being copied. */
  callWith<M extends Method>(
    moved: readonly ArrayBuffer[],
    method: M,
    ...parameters: Parameters<Engine[M]>
  ): Promise<Awaited<ReturnType<Engine[M]>>>;
  /** Rejects what waits, and frees everything. */
  end(): Promise<void>;
}

interface Waiting {
  readonly engine: number;
  resolve(value: never): void;
  reject(error: LowrankError): void;
}

interface Thread {
  post(
    engine: number,
    options: EngineOptions,
    method: Method,
    parameters: readonly unknown[],
    moved?: readonly ArrayBuffer[],
  ): Promise<never>;
  /** Rejects what waits for an engine. */
  reject(engine: number, error: LowrankError): void;
  end(): Promise<void>;
}

const startThread = (): Thread => {
  const worker: Worker = startWorker("ort-worker");
  const waiting = new Map<number, Waiting>();
  let next = 1;
  let broken: LowrankError | undefined;
  const reject = (error: LowrankError, engine?: number): void => {
    for (const [id, call] of waiting)
      if (engine === undefined || call.engine === engine) {
        waiting.delete(id);
        call.reject(error);
      }
    if (waiting.size === 0) worker.unref();
  };
  const fail = (error: LowrankError): void => {
    broken ??= error;
    reject(error);
  };
  worker.unref();
  worker.on("error", (cause) => fail(new LowrankError("backend-failed", `The runtime's thread failed: ${messageOf(cause)}.`, { cause })));
  worker.on("exit", () => fail(new LowrankError("backend-failed", "The runtime's thread has ended.")));
  worker.on("message", (reply: Reply) => {
    const call = waiting.get(reply.id);
    // The answer to a call that a disposal has rejected already.
    if (call === undefined) return;
    waiting.delete(reply.id);
    if (waiting.size === 0) worker.unref();
    if ("error" in reply) call.reject(new LowrankError(reply.error.code as ErrorCode, reply.error.message));
    else call.resolve(reply.value as never);
  });
  return {
    post: (engine, options, method, parameters, moved = []) =>
      new Promise((resolve, reject) => {
        if (broken !== undefined) return reject(broken);
        // Only a pending call keeps the process alive; an idle backend does not.
        if (waiting.size === 0) worker.ref();
        const id = next++;
        waiting.set(id, { engine, resolve, reject });
        worker.postMessage({ id, engine, options, method, parameters }, moved);
      }),
    reject: (engine, error) => reject(error, engine),
    end: async () => void (await worker.terminate()),
  };
};

// A device that can have one thread only keeps it, idle, as long as the process lives.
const kept = new Map<Device, Thread>();
let engines = 0;

const keptThread = (device: Device): Thread => {
  const thread = kept.get(device) ?? startThread();
  kept.set(device, thread);
  return thread;
};

export const startEngine = (options: EngineOptions): RemoteEngine => {
  const isShared = isOfOneThread(options.device);
  const thread = isShared ? keptThread(options.device) : startThread();
  const number = engines++;
  let ended: LowrankError | undefined;
  const callWith: RemoteEngine["callWith"] = (moved, method, ...parameters) =>
    ended === undefined ? thread.post(number, options, method, parameters, moved) : Promise.reject(ended);
  return {
    call: (method, ...parameters) => callWith([], method, ...parameters),
    callWith,
    end: async () => {
      if (ended !== undefined) return;
      ended = new LowrankError("backend-failed", "The backend has been disposed.");
      thread.reject(number, ended);
      const disposed = thread.post(number, options, "dispose", []);
      // Terminated while it loads the runtime's addon, or is within a call, a thread aborts the process.
      await (isShared ? disposed : disposed.catch(() => undefined).then(() => thread.end()));
    },
  };
};

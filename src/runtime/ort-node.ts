/** @file ONNX Runtime in Node behind the backend contract, in a worker thread so that the event loop stays free. */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { emitOnnx } from "../onnx/index.ts";
import { LowrankError, messageOf, type ErrorCode, type HostTensor } from "../util/index.ts";
import type { Graph } from "../graph/index.ts";
import type { Backend, Executable, Feed, Resident } from "./backend.ts";
import { checkHost, checkRun, checkWrite, compact, isResident } from "./host.ts";
import type { Device, Engine } from "./ort-session.ts";
import type { Reply } from "./ort-worker.ts";
import { startWorker } from "./start-worker.ts";

export interface OrtOptions {
  /** Default `cpu`. */
  readonly device?: Device;
  /** Threads within an op; default: all cores that the process may use. */
  readonly threads?: number;
}

type Method = keyof Engine;
type Call = <M extends Method>(method: M, ...parameters: Parameters<Engine[M]>) => Promise<Awaited<ReturnType<Engine[M]>>>;

const connect = (worker: Worker): { call: Call; fail(error: LowrankError): void } => {
  const waiting = new Map<number, { resolve(value: never): void; reject(error: LowrankError): void }>();
  let next = 1;
  let broken: LowrankError | undefined;
  const fail = (error: LowrankError): void => {
    broken ??= error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    worker.unref();
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
  const call: Call = (method, ...parameters) =>
    new Promise((resolve, reject) => {
      if (broken !== undefined) return reject(broken);
      // Only a pending call keeps the process alive; an idle backend does not.
      if (waiting.size === 0) worker.ref();
      const id = next++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, method, parameters });
    });
  return { call, fail };
};

const sendable = (feeds: Readonly<Record<string, Feed>>): Record<string, Feed> =>
  Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, isResident(feed) ? feed : compact(feed)]));

/**
 * A backend on ONNX Runtime.
 * @example
 * const backend = ortBackend({ threads: 2 });
 * const executable = await backend.compile(program({ y: add(input("x", [1]), scalar(1)) }));
 * const { y } = await executable.run({ x: f32([2]) }); // 3
 * await backend.dispose();
 */
export const ortBackend = ({ device = "cpu", threads = availableParallelism() }: OrtOptions = {}): Backend => {
  const worker = startWorker("ort-worker", { device, threads });
  const { call, fail } = connect(worker);
  let disposed = false;
  const compile = async (graph: Graph): Promise<Executable> => {
    const session = await call("compile", emitOnnx(graph, device));
    return {
      run: async (feeds, options = {}) => {
        checkRun(graph, feeds, options);
        const { hosts, residents } = await call("run", session, sendable(feeds), options);
        return { ...hosts, ...residents };
      },
      dispose: async () => {
        if (!disposed) await call("closeSession", session);
      },
    };
  };
  return {
    name: `onnxruntime-${device}`,
    compile,
    upload: async (tensor: HostTensor): Promise<Resident> => {
      checkHost("The tensor", tensor);
      return call("upload", compact(tensor));
    },
    allocate: (shape) => call("allocate", shape),
    write: async (into, row, tensor) => {
      checkWrite(into, row, tensor);
      await call("write", into, row, tensor.data.buffer instanceof SharedArrayBuffer ? tensor : compact(tensor));
    },
    download: (resident) => call("download", resident),
    release: async (resident) => {
      if (!disposed) await call("release", resident);
    },
    dispose: async () => {
      disposed = true;
      fail(new LowrankError("backend-failed", "The backend has been disposed."));
      await worker.terminate();
    },
  };
};

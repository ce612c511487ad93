/** @file ONNX Runtime in Node behind the backend contract, in a worker thread so that the event loop stays free. */
import { availableParallelism } from "node:os";
import { emitOnnx } from "../onnx/index.ts";
import type { HostTensor } from "../util/index.ts";
import { program, scalar, type Graph } from "../graph/index.ts";
import type { Backend, CompileOptions, Executable, Feed, Resident } from "./backend.ts";
import { buffersOf, checkCopy, checkHost, checkRun, checkWrite, compact, isResident, signatureOf } from "./host.ts";
import type { Device } from "./device.ts";
import { startEngine } from "./ort-thread.ts";

export interface OrtOptions {
  /** Default `cpu`. */
  readonly device?: Device;
  /** Threads within an op; default: all cores that the process may use. */
  readonly threads?: number;
}

/** What a run must be told: host tensors, and the residents that it was not fed before by that name. */
const newFeeds = (feeds: Readonly<Record<string, Feed>>, told: Map<string, number>): Record<string, Feed> => {
  const news: Record<string, Feed> = {};
  for (const name in feeds) {
    const feed = feeds[name];
    if (!isResident(feed)) news[name] = compact(feed);
    else if (told.get(name) !== feed.id) {
      news[name] = feed;
      told.set(name, feed.id);
    }
  }
  return news;
};

/**
 * A backend on ONNX Runtime.
 * @example
 * const backend = ortBackend({ threads: 2 });
 * const executable = await backend.compile(program({ y: add(input("x", [1]), scalar(1)) }));
 * const { y } = await executable.run({ x: f32([2]) }); // 3
 * await backend.dispose();
 */
export const ortBackend = ({ device = "cpu", threads = availableParallelism() }: OrtOptions = {}): Backend => {
  const { call, callWith, end } = startEngine({ device, threads });
  let disposed = false;
  const compile = async (graph: Graph, compileOptions: CompileOptions = {}): Promise<Executable> => {
    const session = await call("compile", emitOnnx(graph, device), compileOptions);
    const signature = signatureOf(graph);
    const told = new Map<string, number>();
    return {
      run: async (feeds, options = {}) => {
        checkRun(signature, feeds, options);
        const { lend = [], into = {} } = options;
        const [sent, memory] = [
          newFeeds(feeds, told),
          Object.fromEntries(Object.entries(into).map(([name, tensor]) => [name, compact(tensor)])),
        ];
        const moved = buffersOf([...lend.map((name) => sent[name] as HostTensor), ...Object.values(memory)]);
        const { hosts, residents } = await callWith(moved, "run", session, sent, { ...options, into: memory });
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
    copy: async (from, into, axis) => {
      checkCopy(from, into, axis);
      await call("copy", from, into, axis);
    },
    download: (resident) => call("download", resident),
    release: async (resident) => {
      if (!disposed) await call("release", resident);
    },
    dispose: async () => {
      disposed = true;
      await end();
    },
  };
};

/** Throws `backend-failed`, with what to install, where the device is not there. */
export const checkDevice = async (options: OrtOptions = {}): Promise<void> => {
  if (options.device === undefined || options.device === "cpu") return;
  const backend = ortBackend(options);
  try {
    await backend.compile(program({ y: scalar(1) }));
  } finally {
    await backend.dispose();
  }
};

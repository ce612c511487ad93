/** @file ONNX Runtime on the calling thread: sessions, resident tensors, runs. It blocks while it runs; `ort-node.ts` moves it to a worker. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { OnnxModel } from "../onnx/index.ts";
import { zeroInput } from "../onnx/index.ts";
import { dtypes, LowrankError, messageOf, type DType, type HostTensor, type TypedArray } from "../util/index.ts";
import type { Feed, Resident, RunOptions } from "./backend.ts";
import { isResident, storeRows } from "./host.ts";

/** Where programs run: `cpu` always works; the others need their provider's libraries. */
export type Device = "cpu" | "webgpu" | "cuda";

export interface EngineOptions {
  readonly device: Device;
  /** Threads within an op. */
  readonly threads: number;
}

const ortTypes = { f32: "float32", i32: "int32", i64: "int64", bool: "bool", u8: "uint8", i8: "int8", f16: "float16" } as const;
const ourTypes = Object.fromEntries(Object.entries(ortTypes).map(([ours, theirs]) => [theirs, ours as DType]));

const ortTensor = ({ dtype, shape, data }: HostTensor): Tensor => {
  const type = ortTypes[dtype as keyof typeof ortTypes];
  if (type === undefined) throw new LowrankError("unsupported", `ONNX Runtime's Node binding takes no ${dtype} input.`);
  return new Tensor(type as "float32", data as Float32Array, shape);
};

const sessionOptions = ({ device, threads }: EngineOptions, root: string | undefined): InferenceSession.SessionOptions => ({
  executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  // With the pattern the first runs keep a second copy of every buffer; without it the peak is 40 % lower at the same speed.
  enableMemPattern: false,
  logSeverityLevel: 3,
  extra: {
    session: {
      // Prepacked weights are private copies; unpacked ones stay mapped from their file.
      disable_prepacking: "1",
      // Spinning threads would burn the cores between two steps.
      intra_op: { allow_spinning: "0" },
      ...(root === undefined ? {} : { model_external_initializers_file_folder_path: root }),
    },
  },
});

export interface EngineResult {
  readonly hosts: Record<string, HostTensor>;
  readonly residents: Record<string, Resident>;
}

/** Sessions and resident tensors by number, so that a worker can be told about them in messages. */
export interface Engine {
  compile(model: OnnxModel): Promise<number>;
  run(session: number, feeds: Readonly<Record<string, Feed>>, options: RunOptions): Promise<EngineResult>;
  closeSession(session: number): Promise<void>;
  upload(tensor: HostTensor): Resident;
  download(id: number): HostTensor;
  release(id: number): void;
}

const backendError = (what: string, error: unknown): LowrankError => {
  const text = messageOf(error);
  return /bad_alloc|Failed to allocate|out of memory/i.test(text)
    ? new LowrankError("out-of-memory", `${what}: ${text}.`, { fix: "Lower --batch-size or --seq-length.", cause: error })
    : new LowrankError("backend-failed", `${what}: ${text}.`, { cause: error });
};

export const createEngine = (options: EngineOptions): Engine => {
  const sessions = new Map<number, { session: InferenceSession; needsZero: boolean }>();
  const residents = new Map<number, HostTensor>();
  let next = 1;

  const upload = (tensor: HostTensor): Resident => {
    const id = next++;
    residents.set(id, tensor);
    return { id, dtype: tensor.dtype, shape: tensor.shape };
  };
  const resident = (id: number): HostTensor => {
    const tensor = residents.get(id);
    if (tensor === undefined) throw new LowrankError("invalid-argument", "A resident tensor was used after its release.");
    return tensor;
  };

  return {
    upload,
    download: resident,
    release: (id) => void residents.delete(id),
    compile: async ({ bytes, root, needsZero }) => {
      try {
        const session = await InferenceSession.create(bytes, sessionOptions(options, root));
        sessions.set(next, { session, needsZero });
        return next++;
      } catch (error) {
        throw backendError("ONNX Runtime refused the program", error);
      }
    },
    closeSession: async (id) => {
      await sessions.get(id)?.session.release();
      sessions.delete(id);
    },
    run: async (id, feeds, { keep = [], store = [] }) => {
      const { session, needsZero } = sessions.get(id)!;
      const inputs = Object.fromEntries(
        Object.entries(feeds).map(([name, feed]) => [name, ortTensor(isResident(feed) ? resident(feed.id) : feed)]),
      );
      if (needsZero) inputs[zeroInput] = new Tensor("float32", new Float32Array(1), [1]);
      const outputs = await session.run(inputs).catch((error: unknown) => {
        throw backendError("ONNX Runtime failed to run the program", error);
      });
      const result: EngineResult = { hosts: {}, residents: {} };
      for (const [name, output] of Object.entries(outputs)) {
        const dtype = ourTypes[output.type];
        const host: HostTensor = { dtype, shape: output.dims, data: output.data as TypedArray };
        const stores = store.filter((entry) => entry.output === name);
        for (const entry of stores) storeRows(host, resident(entry.into.id), entry);
        if (keep.includes(name)) result.residents[name] = upload(host);
        else if (stores.length === 0) result.hosts[name] = { ...host, data: owned(host) };
      }
      return result;
    },
  };
};

// A view into a larger buffer cannot be handed to another thread without taking its neighbours along.
const owned = ({ data, dtype }: HostTensor): TypedArray =>
  data.byteLength === data.buffer.byteLength ? data : new dtypes[dtype].array(data as never);

/** @file Stored weights in the memory of a device: each is copied there once, however many programs read it. It knows nothing about the programs. */
import { InferenceSession, type Tensor } from "onnxruntime-node";
import { input, program, type WeightLocation } from "../graph/index.ts";
import { emitOnnx, type StoredWeight } from "../onnx/index.ts";
import { ortTensor } from "./ort-tensor.ts";
import { readStored } from "./read-stored.ts";

export interface DeviceWeights {
  /** The weight on the device, to be fed; whoever takes it gives it back. */
  take(weight: StoredWeight): Promise<Tensor>;
  giveBack(weight: StoredWeight): void;
  /** Frees everything; programs that were fed must be gone. */
  dispose(): Promise<void>;
}

const keyOf = ({ location: { path, offset, bytes, dtype, shape } }: StoredWeight): string =>
  [path, offset, bytes, dtype, ...shape].join("|");

const free = (tensor: Tensor): void => tensor.dispose();

export const deviceWeights = (): DeviceWeights => {
  const held = new Map<string, { readonly tensor: Promise<Tensor>; users: number }>();
  // A tensor belongs to the session that made it, so that these stay.
  const copiers = new Map<string, Promise<InferenceSession>>();
  const copierOf = ({ dtype, shape }: WeightLocation): Promise<InferenceSession> => {
    const key = [dtype, ...shape].join("|");
    const create = (): Promise<InferenceSession> => {
      const { bytes } = emitOnnx(program({ y: input("x", shape, dtype) }), "webgpu");
      return InferenceSession.create(bytes, { executionProviders: ["webgpu"], preferredOutputLocation: { y: "gpu-buffer" } });
    };
    const copier = copiers.get(key) ?? create();
    copiers.set(key, copier);
    return copier;
  };
  const copy = async ({ name, location }: StoredWeight): Promise<Tensor> => {
    const data = readStored(name, location);
    const copier = await copierOf(location);
    const { y } = await copier.run({ x: ortTensor({ dtype: location.dtype, shape: location.shape, data }) });
    return y;
  };
  return {
    take: (weight) => {
      const key = keyOf(weight);
      const entry = held.get(key) ?? { tensor: copy(weight), users: 0 };
      entry.users++;
      held.set(key, entry);
      return entry.tensor;
    },
    giveBack: (weight) => {
      const key = keyOf(weight);
      const entry = held.get(key);
      if (entry === undefined || --entry.users > 0) return;
      held.delete(key);
      void entry.tensor.then(free, () => {});
    },
    dispose: async () => {
      for (const { tensor } of held.values()) await tensor.then(free, () => {});
      held.clear();
      for (const copier of copiers.values()) await (await copier).release();
      copiers.clear();
    },
  };
};

/** @file Where each trainable tensor lives in the one flat float32 vector that a training step takes and returns. It knows nothing about what they do. */
import { sizeOf } from "../util/index.ts";

/** What a trainable tensor is to its layer; optimisers group by it (LoRA+ gives `lora_B` its own rate). */
export type ParameterRole = "lora_A" | "lora_B" | "weight" | "bias";

/** One trainable tensor: its elements are `flat[offset … offset + size)`, row-major. */
export interface ParameterSlot {
  readonly name: string;
  readonly role: ParameterRole;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

export interface ParameterLayout {
  readonly slots: readonly ParameterSlot[];
  /** Length of the flat vector. */
  readonly size: number;
}

/** Lays tensors out one after another, in the order given. */
export const layoutOf = (parameters: readonly Pick<ParameterSlot, "name" | "role" | "shape">[]): ParameterLayout => {
  let size = 0;
  const slots = parameters.map(({ name, role, shape }) => {
    const slot = { name, role, shape, offset: size, size: sizeOf(shape) };
    size += slot.size;
    return slot;
  });
  return { slots, size };
};

/** The part of a flat vector that belongs to a slot; a view, not a copy. */
export const viewOf = (flat: Float32Array, slot: ParameterSlot): Float32Array => flat.subarray(slot.offset, slot.offset + slot.size);

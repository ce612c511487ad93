/** @file Starts sequences of whatever model: one that goes on from its prompt, or one whose encoder reads it. It knows nothing about text. */
import type { Backend, Programs } from "../runtime/index.ts";
import { cachedDecoder, type Decoder } from "./decoder.ts";
import type { Inference } from "./inference.ts";
import { sourcedDecoder } from "./sourced-decoder.ts";

/** Starts a sequence that will hold about `expected` tokens. */
export const createDecoder = async (backend: Backend, inference: Inference, programs: Programs, expected: number): Promise<Decoder> =>
  inference.model.decoderStart === undefined
    ? cachedDecoder(backend, inference, programs, expected)
    : sourcedDecoder(backend, inference, programs, expected);

/** @file One decoder for prompts that grow, as in a chat: what a prompt shares with the one before is not computed again. It knows nothing about text. */
import type { Decoder } from "../../generate/index.ts";

export interface PromptCache {
  /** A decoder for one prompt and what follows it. It takes the whole prompt first, and is over when the next one begins. */
  begin(): Decoder;
  dispose(): Promise<void>;
}

const commonLength = (a: readonly number[], b: readonly number[]): number => {
  const differs = a.findIndex((id, index) => id !== b[index]);
  return differs === -1 ? a.length : differs;
};

/** Keeps the tokens of a decoder in mind, and rewinds it to what a new prompt has in common with them; an encoder reads each prompt anew. */
export const promptCache = (decoder: Decoder): PromptCache => {
  const held: number[] = [];
  const begin = (): Decoder => {
    let isNew = true;
    const append = async (ids: readonly number[]): Promise<Float32Array> => {
      let missing = ids;
      if (isNew) {
        // The last token is always computed, because its logits are wanted.
        held.length = decoder.continues ? Math.min(commonLength(held, ids), Math.max(0, ids.length - 1)) : 0;
        decoder.rewind(held.length);
        missing = ids.slice(held.length);
        isNew = false;
      }
      const logits = await decoder.append(missing);
      held.push(...missing);
      return logits;
    };
    return {
      get length() {
        return isNew ? 0 : held.length;
      },
      continues: decoder.continues,
      append,
      rewind: (length) => {
        decoder.rewind(length);
        held.length = length;
      },
      dispose: () => Promise.resolve(),
    };
  };
  return { begin, dispose: () => decoder.dispose() };
};

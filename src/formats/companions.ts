/** @file The files of a model folder that go along with its weights: tokenizer, templates, generation settings. It knows nothing about their content. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { listFolder, makeFolder } from "./disk.ts";

const companion =
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|generation_config|chat_template|vocab|merges)\.(json|jinja|txt|model)$/;

/** Copies them from one model folder to another. */
export const copyCompanions = async (from: string, to: string): Promise<void> => {
  await makeFolder(to);
  for (const name of await listFolder(from)) if (companion.test(name)) await copyFile(join(from, name), join(to, name));
};

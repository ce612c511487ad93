/** @file `prompt`, `completion` and a `label` that says whether the completion is a good one. It knows nothing about other formats. */
import type { Row } from "../row.ts";
import { completionFormat } from "./completion.ts";
import { wrongField } from "./fields.ts";
import type { DataFormat, ParsedJudgement } from "./parsed.ts";

const truth = ({ value }: Row): boolean | undefined => {
  const label = typeof value["label"] === "string" ? value["label"].toLowerCase() : value["label"];
  if (label === true || label === "true") return true;
  return label === false || label === "false" ? false : undefined;
};

export const judgedFormat: DataFormat<ParsedJudgement> = {
  fields: ["prompt", "completion", "label"],
  learns: ["completion"],
  fits: (row) => truth(row) !== undefined,
  read: (row) => {
    const desirable = truth(row);
    if (desirable === undefined) throw wrongField(row, "label", row.value["label"], "true or false");
    return { answer: completionFormat.read(row), desirable };
  },
};

/** @file How wide a text is on a terminal, and cutting, padding and wrapping by that width. It knows nothing about colours but their codes. */
import { stripVTControlCharacters } from "node:util";

// Made when a text first needs it: it takes a sixth of the time in which `--help` should appear.
let segmenter: Intl.Segmenter | undefined;
const graphemesOf = (text: string): Iterable<Intl.SegmentData> =>
  (segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" })).segment(text);

// East Asian wide letters and emoji take two columns (Unicode Standard Annex 11).
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;

const plain = /^[\x20-\x7e]*$/;

/** Columns that a line takes; colour codes take none. */
export const visibleWidth = (text: string): number => {
  const visible = stripVTControlCharacters(text);
  if (plain.test(visible)) return visible.length;
  let width = 0;
  for (const { segment } of graphemesOf(visible)) width += wide.test(segment) ? 2 : 1;
  return width;
};

/** The beginning of a text in at most `columns` columns, with "…" where something is cut; colour codes are kept whole. */
export const truncate = (text: string, columns: number): string => {
  if (visibleWidth(text) <= columns) return text;
  if (columns < 1) return "";
  let width = 0;
  let result = "";
  let isCut = false;
  // eslint-disable-next-line no-control-regex -- colour codes begin with the escape character
  for (const part of text.split(/(\x1b\[[0-9;]*m)/)) {
    if (part.startsWith("\x1b[")) {
      result += part;
      continue;
    }
    for (const { segment } of isCut ? [] : graphemesOf(part)) {
      width += visibleWidth(segment);
      if (width > columns - 1) {
        isCut = true;
        result += "…";
        break;
      }
      result += segment;
    }
  }
  return result;
};

export const padEnd = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - visibleWidth(text)));

export const padStart = (text: string, columns: number): string => " ".repeat(Math.max(0, columns - visibleWidth(text))) + text;

/** Lines of at most `columns` columns, broken between words; a longer word has a line to itself. */
export const wrap = (text: string, columns: number): string[] => {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      const longer = line === "" ? word : `${line} ${word}`;
      if (line !== "" && visibleWidth(longer) > columns) {
        lines.push(line);
        line = word;
      } else line = longer;
    }
    lines.push(line);
  }
  return lines;
};

/** As many of the parts as fit into one line, from the first on; at least a piece of that one. */
export const fitParts = (parts: readonly string[], columns: number): string => {
  let line = truncate(parts[0], columns);
  for (const part of parts.slice(1)) {
    const longer = `${line}  ${part}`;
    if (visibleWidth(longer) > columns) break;
    line = longer;
  }
  return line;
};

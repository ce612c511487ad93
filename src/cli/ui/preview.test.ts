import { describe, expect, it } from "vitest";
import { formatPreview, type PreviewToken } from "./preview.ts";

const token = (text: string, id: number, supervised = false): PreviewToken => ({ text, id, supervised });
const chat = [
  token("<user>", 1),
  token("\n", 2),
  token("Hi", 3),
  token("<bot>", 4),
  token("Hel", 5, true),
  token("lo\n", 6, true),
  token("</s>", 7, true),
  token("\n", 2),
];

describe("formatPreview", () => {
  it("marks supervised stretches with brackets", () => {
    expect(formatPreview(chat)).toBe('<user>↵\nHi<bot>[[Hello↵\n</s>]]↵\n\n3 of 8 tokens supervised (38 %), from "Hel" (5) to "</s>" (7)');
  });

  it("marks them with colour, line by line", () => {
    const dim = (text: string): string => `\x1b[2m${text}\x1b[22m`;
    const green = (text: string): string => `\x1b[32m${text}\x1b[39m`;
    expect(formatPreview(chat, { colour: true }).split("\n").slice(0, 3)).toEqual([
      dim("<user>↵"),
      dim("Hi<bot>") + green("Hello↵"),
      green("</s>") + dim("↵"),
    ]);
  });

  it("shows both ends of a long example", () => {
    expect(formatPreview(chat, { longest: 3 })).toBe(
      '<user>↵\n … 5 tokens … ↵\n\n3 of 8 tokens supervised (38 %), from "Hel" (5) to "</s>" (7)',
    );
  });

  it("says so when nothing is supervised", () => {
    expect(formatPreview([token("a", 1), token("b", 2)])).toBe("ab\n0 of 2 tokens supervised (0 %)");
  });

  it("breaks lines at line ends that are already shown as such", () => {
    expect(formatPreview([token("a↵b", 1)])).toBe("a↵\nb\n0 of 1 tokens supervised (0 %)");
  });

  it("lets no control character reach the terminal", () => {
    expect(formatPreview([token("\x1b[2Ja\u202eb\x7f\r\tc", 1)])).toBe("␛[2Ja�b�␍\tc\n0 of 1 tokens supervised (0 %)");
  });
});

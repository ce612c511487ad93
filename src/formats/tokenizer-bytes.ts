/** @file How token pieces stand for bytes: GPT-2's printable byte alphabet and `<0xAB>` pieces. It knows nothing about vocabularies. */

const printable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

// Bytes without a printable character of their own take the code points from 256 on, in order (Radford et al. 2019, encoder.py).
const byteOfCharacter = (): ReadonlyMap<string, number> => {
  const alphabet = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) alphabet.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  return alphabet;
};

/** Byte of each character of the byte-level alphabet. */
export const byteAlphabet = byteOfCharacter();
const utf8 = new TextEncoder();

/** The bytes of a byte-level piece; a piece with any character outside the alphabet stands for its own text. */
export const byteLevelBytes = (piece: string): Uint8Array => {
  const bytes = new Uint8Array(piece.length);
  for (let index = 0; index < piece.length; index++) {
    const byte = byteAlphabet.get(piece[index]);
    if (byte === undefined) return utf8.encode(piece);
    bytes[index] = byte;
  }
  return bytes;
};

/** The byte that a byte-fallback piece such as `<0x0A>` stands for; undefined for any other piece. */
export const fallbackByte = (piece: string): number | undefined =>
  /^<0x[0-9a-fA-F]{2}>$/.test(piece) ? Number.parseInt(piece.slice(3, 5), 16) : undefined;

/** The byte-fallback piece of a byte. */
export const bytePiece = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

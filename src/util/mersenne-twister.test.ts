import { expect, it } from "vitest";
import { mersenneTwister } from "./mersenne-twister.ts";

// The C++ standard ([rand.predef]) names the 10,000th number of the default seed 5489.
it("gives the numbers of the C++ standard's mt19937", () => {
  const draw = mersenneTwister(5489);
  expect(draw()).toBe(3_499_211_612);
  for (let index = 2; index < 10_000; index++) draw();
  expect(draw()).toBe(4_123_659_995);
});

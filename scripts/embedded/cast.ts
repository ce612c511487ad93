/** @file Who is in a story: children, animals and elders, each with the pronouns that go with them. It knows no plot. */
import type { Teller } from "./english.ts";
import { a, capital } from "./english.ts";
import { animals, boys, girls, heAnimals, sheAnimals, type Animal } from "./lexicon.ts";

/** Somebody, with the words that refer to them. */
export interface Being {
  /** "Mia", or "the old owl" for those without a name. */
  name: string;
  /** The name at the start of a sentence. */
  Name: string;
  /** "Mia's", "the old owl's". */
  names: string;
  /** "girl", "fox", "grandmother". */
  noun: string;
  he: "he" | "she";
  him: "him" | "her";
  his: "his" | "her";
  He: "He" | "She";
  His: "His" | "Her";
  animal?: Animal;
}

const pronouns = {
  he: { he: "he", him: "him", his: "his", He: "He", His: "His" },
  she: { he: "she", him: "her", his: "her", He: "She", His: "Her" },
} as const;

const being = (name: string, noun: string, gender: "he" | "she", kind?: Animal): Being => ({
  name,
  Name: capital(name),
  names: `${name}'s`,
  noun,
  animal: kind,
  ...pronouns[gender],
});

export const child = (tell: Teller): Being =>
  tell.chance(0.5) ? being(tell.pick(girls), "girl", "she") : being(tell.pick(boys), "boy", "he");

/** An animal with a name, of a kind for which `suits` holds. */
const namedAnimal = (tell: Teller, suits: (kind: Animal) => boolean = () => true): Being => {
  const kind = tell.pick(animals.filter(suits));
  return tell.chance(kind.noun === "hen" || kind.noun === "cow" ? 1 : 0.5)
    ? being(tell.pick(sheAnimals), kind.noun, "she", kind)
    : being(tell.pick(heAnimals), kind.noun, "he", kind);
};

/** An animal that is only called what it is: "the old owl". */
export const someAnimal = (tell: Teller, suits: (kind: Animal) => boolean = () => true, adjective = ""): Being => {
  const kind = tell.pick(animals.filter(suits));
  const name = adjective ? `the ${adjective} ${kind.noun}` : `the ${kind.noun}`;
  return being(name, kind.noun, kind.noun === "hen" || kind.noun === "cow" || tell.chance(0.5) ? "she" : "he", kind);
};

/** A child, or less often an animal that behaves like one. */
export const hero = (tell: Teller): Being => (tell.chance(0.6) ? child(tell) : namedAnimal(tell, ({ noun }) => noun !== "bee"));

/** Another of the same kind, with another name. */
export const friendOf = (tell: Teller, other: Being): Being => {
  for (;;) {
    const friend = other.animal ? namedAnimal(tell, ({ noun }) => noun !== "bee" && noun !== other.noun) : child(tell);
    if (friend.name !== other.name) return friend;
  }
};

/** Somebody older in the family whom the hero trusts: "her grandmother". */
export const elderOf = (tell: Teller, young: Being): Being => {
  const [noun, gender] = tell.pick([
    ["mother", "she"],
    ["father", "he"],
    ["grandmother", "she"],
    ["grandfather", "he"],
    ["aunt", "she"],
    ["uncle", "he"],
  ] as const);
  return being(`${young.his} ${noun}`, noun, gender);
};

/** Somebody with a trade: "the baker". */
export const neighbour = (tell: Teller): Being => {
  const noun = tell.pick(["baker", "farmer", "teacher", "painter", "fisherman", "gardener", "shopkeeper", "postman"]);
  return being(`the ${noun}`, noun, noun.endsWith("man") || tell.chance(0.5) ? "he" : "she");
};

/** "a girl named Mia", "a red fox named Rusty". */
export const named = (tell: Teller, someone: Being): string => {
  const adjective = tell.pick(
    someone.animal ? ["small", "young", "little", "clever", someone.animal.colour] : ["little", "young", "cheerful", "small"],
  );
  const noun = tell.chance(0.7) ? `${adjective} ${someone.noun}` : someone.noun;
  return `${a(noun)} (named|called) ${someone.name}`;
};

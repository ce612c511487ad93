/** @file Conversations: questions with answers, small talk, advice and stories on request, in the form of the chat template. */
import { hero as drawHero, child } from "./cast.ts";
import { a, capital, list, numberWord, plural, type Teller } from "./english.ts";
import { seasons } from "./facts.ts";
import { animals, weekdays } from "./lexicon.ts";
import { plots } from "./plots/index.ts";
import { describeWeather, weatherScene } from "./scenes.ts";
import { storyOf } from "./story.ts";

/** One question and its answer. */
type Exchange = readonly [user: string, assistant: string];

const aboutAnimal = (tell: Teller): Exchange[] => {
  const { noun, colour, home, food, sound, skill, young } = tell.pick(animals);
  const questions: Exchange[] = [
    [`What colour is ${a(noun)}?`, `${capital(a(noun))} is ${colour}.`],
    [`Where does ${a(noun)} live?`, `${capital(a(noun))} lives ${home}.`],
    [`What does ${a(noun)} eat?`, `${capital(a(noun))} eats ${food}.`],
    [`What can ${a(noun)} do?`, `${capital(a(noun))} can ${skill}.`],
    [`What sound does ${a(noun)} make?`, `${capital(a(noun))} ${sound[0]}.`],
    [`What is the child of ${a(noun)} called?`, `It is called ${a(young)}.`],
    [`Tell me about the ${noun}.`, `The ${noun} is ${colour}. It lives ${home} and eats ${food}. It can ${skill}.`],
  ];
  const [first, second] = tell.sample(questions, 2);
  // The second question may say "it", so that an answer needs the first.
  return tell.chance(0.5) ? [first] : [first, [second[0].replace(a(noun), "it").replace(`the ${noun}`, "it"), second[1]]];
};

const comparison = (tell: Teller): Exchange[] => {
  const [one, two] = tell.sample(animals, 2);
  if (one.size === two.size) return aboutAnimal(tell);
  const bigger = one.size > two.size ? one : two;
  const other = bigger === one ? two : one;
  return [
    [
      `Is ${a(one.noun)} bigger than ${a(two.noun)}?`,
      `${bigger === one ? "Yes" : "No"}, ${a(bigger.noun)} is bigger than ${a(other.noun)}.`,
    ],
  ];
};

const sum = (tell: Teller): Exchange[] => {
  const [first, second] = [tell.between(1, 9), tell.between(1, 9)];
  const total = first + second;
  return [
    tell.pick<Exchange>([
      [
        `What is ${numberWord(first)} and ${numberWord(second)}?`,
        `${capital(numberWord(first))} and ${numberWord(second)} make ${numberWord(total)}.`,
      ],
      [`What is ${first} + ${second}?`, `${first} + ${second} = ${total}.`],
      [
        `What is ${numberWord(total)} minus ${numberWord(second)}?`,
        `${capital(numberWord(total))} minus ${numberWord(second)} is ${numberWord(first)}.`,
      ],
      [`What comes after ${numberWord(total)}?`, `After ${numberWord(total)} comes ${numberWord(total + 1)}.`],
    ]),
  ];
};

const opposites = [
  ["big", "small"],
  ["hot", "cold"],
  ["day", "night"],
  ["happy", "sad"],
  ["fast", "slow"],
  ["old", "young"],
  ["light", "dark"],
  ["full", "empty"],
  ["high", "low"],
  ["wet", "dry"],
  ["loud", "quiet"],
  ["brave", "afraid"],
] as const;

const colourOf = [
  ["the sky", "blue"],
  ["the grass", "green"],
  ["snow", "white"],
  ["a ripe lemon", "yellow"],
  ["a carrot", "orange"],
  ["the night", "black"],
  ["a ripe cherry", "red"],
  ["a plum", "purple"],
] as const;

const word = (tell: Teller): Exchange[] => {
  const pair = tell.sample(tell.pick(opposites), 2);
  const [thing, colour] = tell.pick(colourOf);
  const day = tell.between(0, 6);
  const season = tell.between(0, 3);
  const fruits = tell.sample(["apples", "pears", "plums", "cherries", "peaches", "bananas", "lemons"], 3);
  return [
    tell.pick<Exchange>([
      [`What is the opposite of ${pair[0]}?`, `The opposite of ${pair[0]} is ${pair[1]}.`],
      [`What colour is ${thing}?`, `${capital(thing)} is ${colour}.`],
      [`Which day comes after ${weekdays[day]}?`, `After ${weekdays[day]} comes ${weekdays[(day + 1) % 7]}.`],
      [`Which season comes after ${seasons[season].name}?`, `After ${seasons[season].name} comes ${seasons[(season + 1) % 4].name}.`],
      [`What is it like in ${seasons[season].name}?`, seasons[season].sentence],
      ["Name three fruits.", `Three fruits are ${list(fruits)}.`],
      ["Name three animals.", `Three animals are ${list(tell.sample(animals, 3).map(({ noun }) => `the ${noun}`))}.`],
      [`Say ${fruits[0]} three times.`, `${capital(fruits[0])}, ${fruits[0]}, ${fruits[0]}.`],
    ]),
  ];
};

const advice = (tell: Teller): Exchange[] => [
  tell.pick<Exchange>([
    ["I am (so|very|) cold.", "Put on a (warm coat|scarf) and drink a cup of (hot tea|cocoa)."],
    ["I am (so|very|) hungry.", "Eat (an apple|a pear|a banana|a warm bun) or a slice of bread."],
    ["I am (so|very|) tired.", "Then (close your eyes and rest|go to bed early). (Good night|Sleep well)!"],
    ["I am (so|very|) sad.", "I am sorry. (Do you want to tell me about it|Would you like to hear a story)?"],
    ["I am (so|very|) happy!", "That is good! (What happened?|Tell me more about it.)"],
    ["I am bored.", "You could (draw a picture|go outside|read a book|bake a cake). (Or I can tell you a story.|What do you like best?)"],
    [
      "I am afraid of the dark.",
      "(Turn on a small lamp|Hold somebody's hand). (Things look bigger in the dark than they are|The dark is only the day with closed eyes).",
    ],
    ["It is raining.", "Take an umbrella, or (jump into a puddle|stay inside and read)!"],
    ["I lost my (ball|key|hat).", "Where did you see it last? (Look there first|Look slowly, and look twice)."],
    ["My friend is angry with me.", "Say that you are sorry, and (listen well|be kind)."],
    ["I broke a (cup|vase|window).", "Tell the truth and (say that you are sorry|help to mend it)."],
  ]),
];

const greeting = (tell: Teller): Exchange[] => {
  const { name } = child(tell);
  return tell.pick<Exchange[]>([
    [
      [
        "(Hello|Hi|Good morning), I am " + name + ".",
        `(Hello|Hi), ${name}! (How are you|What shall we do today|Do you want to hear a story)?`,
      ],
      ["What is my name?", `Your name is ${name}.`],
    ],
    [
      [`My name is ${name}.`, `(What a nice name|I am glad to meet you, ${name})!`],
      ["Do you know my name?", `Yes, your name is ${name}.`],
    ],
    [["(Hello|Hi|Good morning|Good evening)!", "(Hello|Hi)! (How are you|What shall we talk about|Do you want to hear a story)?"]],
    [["Who are you?", "I am Pip, a (very|) small model that (tells stories|likes stories)."]],
    [["What is your name?", "My name is Pip."]],
    [["How are you?", "I am (well|fine), thank you. (And you|How are you)?"]],
    [["What can you do?", "I can tell (small|short) stories, and I know a little about animals and numbers."]],
    [["Thank you!", "You are welcome."]],
    [["(Goodbye|Bye)!", "Goodbye! (Come back soon|Sleep well|Have a good day)."]],
  ]);
};

const weather = (tell: Teller): Exchange[] => {
  const scene = weatherScene(tell);
  const inside = scene.advice.includes("stay inside");
  const wear =
    scene.advice.length === 0
      ? "You need nothing."
      : inside
        ? "Stay inside."
        : `Take ${list(scene.advice.map((thing) => (thing.endsWith("s") ? thing : a(thing))))}.`;
  return [[`${describeWeather(tell, scene)} What should I (wear|take with me)?`, wear]];
};

const counting = (tell: Teller): Exchange[] => {
  const { name, he } = child(tell);
  const [first, second] = [tell.between(2, 9), tell.between(1, 5)];
  const things = plural(tell.pick(["apple", "egg", "button", "shell", "coin", "cookie"]));
  return second < first && tell.chance(0.5)
    ? [
        [
          `${name} has ${numberWord(first)} ${things} and gives ${numberWord(second)} away. How many are left?`,
          `${capital(numberWord(first - second))} ${first - second === 1 ? "is" : "are"} left.`,
        ],
      ]
    : [
        [
          `${name} has ${numberWord(first)} ${things} and finds ${numberWord(second)} more. How many does ${he} have now?`,
          `Now ${he} has ${numberWord(first + second)}.`,
        ],
      ];
};

const storyRequest = (tell: Teller): Exchange[] => {
  const hero = drawHero(tell);
  const { topic, plot } = tell.pick(plots);
  const someone = hero.animal ? `${hero.name} the ${hero.noun}` : hero.name;
  return [
    [
      tell.pick([
        `Tell me a story about ${a(hero.noun)} (named|called) ${hero.name}.`,
        `(Please tell|Tell) me a story about ${a(hero.noun)}.`,
        `Can you tell me a story about ${someone}?`,
        `Tell me a story about ${someone}.`,
        `Tell me a story about ${topic}.`,
        `Tell me a story about ${someone} and ${topic}.`,
        "Tell me a story.",
      ]),
      storyOf(tell, hero, plot),
    ],
  ];
};

const brief = [aboutAnimal, aboutAnimal, comparison, sum, word, word, advice, greeting, greeting, weather, counting];

/** The text of a conversation without its first and last special token: `<user>…<assistant>…</s><user>…`. */
const renderTalk = (exchanges: readonly Exchange[]): string =>
  exchanges.map(([user, assistant]) => `<user>${user}<assistant>${assistant}`).join("</s>");

/** A conversation: one to four short exchanges, or one that asks for a story. */
export const talk = (tell: Teller): string => {
  const exchanges = tell.chance(0.4) ? storyRequest(tell) : Array.from({ length: tell.between(1, 3) }, () => tell.pick(brief)(tell)).flat();
  return renderTalk(
    exchanges.map(([user, assistant]) => [tell.say(user), assistant.includes("\n") ? assistant : tell.say(assistant)] as const),
  );
};

/** @file The words that stories and facts share: names, animals with what is true of them, bright colours, foods and days. */

/** An animal and the facts about it that stories keep to. */
export interface Animal {
  noun: string;
  colour: string;
  /** Where it lives, as "in a den in the forest". */
  home: string;
  /** What it eats, a plural or a mass noun. */
  food: string;
  /** The sound it makes, third person present and past. */
  sound: readonly [present: string, past: string];
  /** What it does well, base form, and the kind of help that this makes possible. */
  skill: string;
  help?: "fly" | "swim" | "climb" | "dig" | "smell" | "pull";
  young: string;
  size: 1 | 2 | 3;
}

const animal = (
  noun: string,
  colour: string,
  home: string,
  food: string,
  sound: readonly [string, string],
  skill: string,
  help: Animal["help"],
  young: string,
  size: Animal["size"],
): Animal => ({ noun, colour, home, food, sound, skill, help, young, size });

export const animals: readonly Animal[] = [
  animal("fox", "red", "in a den in the forest", "berries", ["barks", "barked"], "run fast", "smell", "cub", 2),
  animal("dog", "brown", "in a house with people", "bones", ["barks", "barked"], "smell things that are far away", "smell", "puppy", 2),
  animal("cat", "grey", "in a house with people", "fish", ["meows", "meowed"], "climb high walls", "climb", "kitten", 2),
  animal("rabbit", "white", "in a burrow under the field", "carrots", ["squeaks", "squeaked"], "jump far", "dig", "kit", 1),
  animal("bear", "brown", "in a cave in the hills", "honey", ["growls", "growled"], "push heavy rocks", "pull", "cub", 3),
  animal("mouse", "grey", "in a hole in the wall", "cheese", ["squeaks", "squeaked"], "creep through small holes", "dig", "pup", 1),
  animal("mole", "black", "in a tunnel under the ground", "worms", ["squeaks", "squeaked"], "dig long tunnels", "dig", "pup", 1),
  animal("duck", "white", "by the pond", "bread", ["quacks", "quacked"], "swim", "swim", "duckling", 1),
  animal("frog", "green", "in the pond", "flies", ["croaks", "croaked"], "swim and hop", "swim", "tadpole", 1),
  animal("otter", "brown", "by the river", "fish", ["whistles", "whistled"], "swim under the water", "swim", "pup", 2),
  animal("owl", "brown", "in a hollow tree", "mice", ["hoots", "hooted"], "see in the dark", "fly", "owlet", 1),
  animal("crow", "black", "in a nest in a tall tree", "corn", ["caws", "cawed"], "fly high", "fly", "chick", 1),
  animal("robin", "brown and red", "in a nest in the hedge", "worms", ["sings", "sang"], "sing and fly", "fly", "chick", 1),
  animal("parrot", "green", "in the jungle", "seeds", ["talks", "talked"], "learn words", "fly", "chick", 1),
  animal("squirrel", "red", "in a hole in an oak tree", "nuts", ["chatters", "chattered"], "climb trees", "climb", "kit", 1),
  animal("monkey", "brown", "in the trees of the jungle", "bananas", ["chatters", "chattered"], "climb and swing", "climb", "baby", 2),
  animal("horse", "brown", "in a stable", "hay", ["neighs", "neighed"], "run fast and pull a cart", "pull", "foal", 3),
  animal("donkey", "grey", "in a stable", "hay", ["brays", "brayed"], "carry heavy bags", "pull", "foal", 3),
  animal("elephant", "grey", "in the hot grassland", "leaves", ["trumpets", "trumpeted"], "lift trees", "pull", "calf", 3),
  animal("goat", "white", "on the hill", "grass", ["bleats", "bleated"], "climb steep rocks", "climb", "kid", 2),
  animal("pig", "pink", "on the farm", "apples", ["grunts", "grunted"], "find food under the ground", "dig", "piglet", 2),
  animal("hedgehog", "brown", "under the hedge", "snails", ["snuffles", "snuffled"], "roll up into a ball", "dig", "baby", 1),
  animal("hen", "red", "in the hen house", "corn", ["clucks", "clucked"], "lay eggs", undefined, "chick", 1),
  animal("cow", "black and white", "on the farm", "grass", ["moos", "mooed"], "give milk", "pull", "calf", 3),
  animal("sheep", "white", "in the field", "grass", ["bleats", "bleated"], "give warm wool", undefined, "lamb", 2),
  animal("bee", "yellow and black", "in a hive", "honey", ["buzzes", "buzzed"], "make honey", undefined, "larva", 1),
  animal("lion", "yellow", "in the hot grassland", "meat", ["roars", "roared"], "roar very loudly", undefined, "cub", 3),
  animal("turtle", "green", "by the sea", "leaves", ["hisses", "hissed"], "swim and live very long", "swim", "baby", 1),
];

export const girls = "Mia Lily Anna Rose Ella Nora Ruby Lucy Ivy Clara Zoe Emma Sara Tess Maya Lena Hana Alma".split(" ");
export const boys = "Ben Tom Sam Max Leo Jack Finn Oscar Noah Hugo Adam Theo Luke Milo Omar Ravi Kai Emil".split(" ");
export const sheAnimals = "Hazel Pepper Dot Clover Tansy Willow Poppy Olive Snowy Ginger Bella Daisy".split(" ");
export const heAnimals = "Rusty Bruno Biscuit Nibbles Pebble Moss Bramble Toby Duke Acorn Button Patch".split(" ");

export const brightColours = ["red", "blue", "green", "yellow", "white", "pink", "orange", "purple"];

/** Foods that can be counted. */
export const countedFoods = "apple pear plum cherry peach banana lemon carrot onion potato tomato egg bun cookie pancake muffin".split(" ");
/** Foods that cannot be counted, with what they come in. */
export const measuredFoods = [
  "cup of tea",
  "cup of milk",
  "cup of cocoa",
  "glass of water",
  "glass of juice",
  "bowl of soup",
  "bowl of rice",
  "piece of cake",
  "piece of cheese",
  "slice of bread",
  "jar of honey",
  "bag of nuts",
];

export const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

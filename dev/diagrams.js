// Prints the SVG of each DOT text in the JSON on standard input, by Graphviz compiled to WebAssembly.
const { instance } = require(`${process.argv[2]}/@viz-js/viz`);
const { sources, look } = JSON.parse(require("fs").readFileSync(0, "utf8"));

instance().then((viz) => {
  console.log(JSON.stringify(sources.map((source) => viz.renderString(source, { format: "svg", ...look }))));
});

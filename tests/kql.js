// Prints what Kusto's own parser finds wrong in each query of the JSON array on standard input: an array of arrays.
const folder = `${process.argv[2]}/@kusto/language-service-next`;
require(`${folder}/bridge.min.js`);
require(`${folder}/Kusto.Language.Bridge.min.js`);
const { GlobalState, KustoCode } = Kusto.Language;

// The columns of traces that the queries may use, as Application Insights documents them.
const traces = "let traces = datatable(timestamp: datetime, message: string, severityLevel: int)[];\n";

const found = JSON.parse(require("fs").readFileSync(0, "utf8")).map((query) => {
  const diagnostics = KustoCode.ParseAndAnalyze(traces + query, GlobalState.Default).GetDiagnostics();
  return Array.from({ length: diagnostics.Count }, (_, at) => diagnostics.getItem(at).Message);
});
console.log(JSON.stringify(found));

// Comfort only: every page and form works without this.
"use strict";

function ready(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const before = [...button.childNodes];
      button.textContent = "Copied";
      setTimeout(() => button.replaceChildren(...before), 1500);
    });
  }
  for (const form of root.querySelectorAll("[data-filter]")) filtering(form);
  for (const label of root.querySelectorAll("[data-all]")) {
    label.hidden = false;
    label.querySelector("input").addEventListener("change", (event) => {
      for (const box of label.closest("form").querySelectorAll("td input[type=checkbox]")) box.checked = event.target.checked;
    });
  }
}

// A page on which something goes on is asked for again until it has ended; the focus stays where it is.
async function follow(main) {
  while (main.hasAttribute("data-live")) {
    await new Promise((done) => setTimeout(done, 700));
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return location.reload();
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    main.replaceChildren(...next.childNodes);
    main.toggleAttribute("data-live", next.hasAttribute("data-live"));
    ready(main);
  }
}

// A table is filtered while one types.
function filtering(form) {
  let timer, number = 0;
  async function show() {
    const mine = ++number;
    const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#found");
    if (mine !== number || !next) return;
    document.querySelector("#found").replaceWith(next);
    history.replaceState(null, "", address);
    ready(next);
  }
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 200);
  });
}

ready(document);
follow(document.querySelector("main"));

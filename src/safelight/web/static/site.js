// What every page may do with a script; all of it works without one, but for links with a code.

const form = document.getElementById("login-code");
if (form) {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) {
    // The code leaves the address bar, and with it the history, before anything else happens.
    history.replaceState(null, "", location.pathname + location.search);
    form.elements.code.value = code;
    form.hidden = false;
    form.submit();
  }
}

for (const theme of document.querySelectorAll("form.theme")) {
  theme.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    document.documentElement.dataset.theme = button.value;
    const body = new URLSearchParams({ theme: button.value });
    fetch(theme.action, { method: "POST", body, redirect: "manual" }).catch(() => {});
  });
}

const words = document.body.dataset;
for (const code of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = words.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.querySelector("pre").textContent);
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  });
  code.append(button);
}

// Who reads Python once wants it everywhere on the page.
document.addEventListener("change", ({ target }) => {
  if (!target.matches(".languages input")) return;
  for (const other of document.querySelectorAll(`.languages input[value="${target.value}"]`)) {
    other.checked = true;
  }
});

const clock = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
for (const time of document.querySelectorAll("time[datetime]")) {
  const when = new Date(time.dateTime);
  const isOld = when.getFullYear() !== new Date().getFullYear();
  time.title = time.textContent;
  time.textContent = when.toLocaleString(document.documentElement.lang, isOld ? { year: "numeric", ...clock } : clock);
}

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

'use strict';
(() => {
  const root = document.documentElement, {live, poll} = root.dataset;

  document.querySelectorAll('.sure').forEach(box => box.remove());
  document.addEventListener('submit', event => {
    const {elements} = event.target, {action, b} = elements;
    const chosen = [...elements].filter(e => e.name === 's' && e.checked).map(e => e.value);
    const what = action.selectedOptions[0].text;
    if (chosen.length ? !confirm(`${what}\n\n${b.value}: ${chosen.join(', ')}`)
      : (alert('No server is selected.'), true)) event.preventDefault();
  });
  // What became of a change is told once.
  const here = location.pathname + location.search, plain = here.replace(/;st=\w*/, '');
  if (plain !== here) history.replaceState(null, '', plain);

  if (!poll) return;
  const by = id => document.getElementById(id);
  // Never the page's own address: it may have a password in it, with which nothing can be fetched.
  const at = path => location.origin + path;
  const shelf = document.createElement('template');
  let uptime = +root.dataset.t, told = performance.now(), heard = told, source, busy, next;
  let asked = 0, polls = 0;

  const age = s => {
    s = Math.max(0, Math.floor(s));
    const m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    return d ? `${d}d ${h % 24}h` : h ? `${h}h ${m % 60}m` : m ? `${m}m ${s % 60}s` : `${s}s`;
  };
  const agesIn = element => {
    const now = uptime + (performance.now() - told) / 1000;
    for (const e of element.querySelectorAll('[data-a]')) {
      const text = age(now - e.dataset.a);
      if (e.textContent !== text) e.textContent = text;
    }
  };

  // Changes what differs and leaves the rest, and with it the focus and what is selected.
  const morph = (was, is) => {
    if (was.isEqualNode(is)) return;
    if (was.nodeName !== is.nodeName || was.nodeType !== 1) return was.replaceWith(is);
    for (const {name} of [...was.attributes]) if (!is.hasAttribute(name)) was.removeAttribute(name);
    for (const {name, value} of is.attributes)
      if (was.getAttribute(name) !== value) was.setAttribute(name, value);
    // What belongs to this page alone is not in what is sent to all.
    const shared = element => [...element.childNodes].filter(node => !node.dataset?.own);
    const old = shared(was), now = shared(is);
    now.forEach((node, i) => old[i] ? morph(old[i], node) : was.append(node));
    old.slice(now.length).forEach(node => node.remove());
  };
  const put = (was, is) => {
    agesIn(is);
    const first = is.id === 'events' && is.querySelector('b');
    if (first && !was.isEqualNode(is)) by('said').textContent = first.textContent;
    morph(was, is);
  };

  const show = (word, text) => {
    const mode = by('mode');
    if (mode.textContent === text) return;
    mode.className = 'mode ' + word;
    mode.textContent = text;
  };
  const lost = () => show('lost', `Not up to date: no answer for ${age((performance.now() - heard) / 1000)}`);

  const fetchAll = async () => {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(at(location.pathname + location.search), {cache: 'no-store'});
      if (!answer.ok) throw answer.status;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      uptime = +page.documentElement.dataset.t;
      told = heard = performance.now();
      page.getElementById('mode').replaceWith(by('mode').cloneNode(true));
      for (const name of ['title', 'header', 'main'])
        put(document.querySelector(name), page.querySelector(name));
      if (!source) show('poll', `Every ${poll} s`);
    } catch {
      lost();
    }
    busy = false;
  };
  const pollFrom = seconds => {
    clearTimeout(next);
    next = setTimeout(async () => {
      await fetchAll();
      // Now and then there may be a place for it among the live ones.
      if (live && ++polls % 12 === 0) follow();
      else pollFrom(poll);
    }, seconds * 1000);
  };

  const close = () => { if (source) source.close(); source = null; };
  const follow = () => {
    close();
    clearTimeout(next);
    asked = performance.now();
    if (!live || !window.EventSource) return pollFrom(poll);
    source = new EventSource(at(live));
    source.onmessage = ({data}) => {
      const {t, p, parts} = JSON.parse(data);
      uptime = t;
      told = heard = performance.now();
      // Another configuration or another version: its parts are not those of this page.
      if (p !== +root.dataset.p) return location.reload();
      for (const [id, html] of parts) {
        const was = by(id);
        shelf.innerHTML = html;
        if (was) put(was, shelf.content.firstElementChild);
      }
      show('live', 'Live');
    };
    source.onerror = () => {
      if (source && source.readyState === EventSource.CLOSED) {
        // Refused: there are too many already, or something in between does not pass it on.
        close();
        pollFrom(0);
      }
    };
  };

  setInterval(() => {
    if (document.hidden) return;
    agesIn(document);
    if (!source) return;
    const now = performance.now();
    if (now - heard > 5000) lost();
    if (now - Math.max(heard, asked) > 20000) follow();
  }, 1000);
  // A page that nobody sees takes no stream from one that somebody looks at.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { close(); clearTimeout(next); } else follow();
  });
  document.addEventListener('keydown', ({key}) => {
    if (key === 'Escape' && document.activeElement.matches('.tip')) document.activeElement.blur();
  });
  follow();
})();

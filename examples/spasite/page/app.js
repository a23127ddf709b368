// The page's script. It keeps its tokens in memory, so a reload is a logout.
const $ = (id) => document.getElementById(id)
let tokens

// call sends one request, and says what went wrong where something does.
async function call(method, path, body, retried) {
  const headers = {'Content-Type': 'application/json'}
  if (tokens) headers.Authorization = `Bearer ${tokens.access_token}`
  const response = await fetch(path, {method, headers, body: body && JSON.stringify(body)})
  // Most likely the access token has expired: take the next one and try again, once.
  if (response.status === 401 && tokens && !retried) {
    const refresh_token = tokens.refresh_token
    tokens = undefined // a player whose session is over is shown the login
    tokens = await call('POST', '/api/refresh', {refresh_token})
    return call(method, path, body, true)
  }
  const json = /json/.test(response.headers.get('Content-Type')) ? await response.json() : {}
  if (response.ok) return json
  throw Object.assign(new Error(json.title ?? `Terjadi gangguan (${response.status}).`), {url: link(json)})
}

// link finds where a problem (RFC 9457) sends the player, if anywhere: a member "url",
// at the top or one below.
const link = (problem) => problem.url ?? Object.values(problem).find((v) => v?.url)?.url

function say(text, url) {
  $('message').replaceChildren(text)
  if (url) $('message').append(' ', Object.assign(document.createElement('a'), {href: new URL(url, location).href, textContent: 'Lanjutkan'}))
}

async function show() {
  const me = tokens && await call('GET', '/api/me')
  $('login').hidden = !!me
  $('member').hidden = !me
  if (!me) return
  $('username').textContent = me.username
  $('balance').textContent = `Rp${me.balance}`
  $('transfers').replaceChildren(...me.transfers.map((t) =>
    Object.assign(document.createElement('li'), {value: t.number, textContent: `Rp${t.amount} ke ${t.account}`})))
}

// on does something when a form is sent or a button pressed, and shows what came of it.
function on(id, event, act) {
  $(id).addEventListener(event, async (e) => {
    e.preventDefault()
    say('')
    try {
      await act(e.target)
    } catch (error) {
      say(error.message, error.url)
    }
    await show()
  })
}

on('login', 'submit', async (form) => {
  tokens = await call('POST', '/api/login', Object.fromEntries(new FormData(form)))
  form.reset()
})
on('withdraw', 'submit', async (form) => {
  await call('POST', '/api/withdrawals', {amount: Number(form.elements.amount.value), account: form.elements.account.value})
  say('Penarikan sedang diproses.')
})
on('logout', 'click', async () => {
  const last = tokens
  tokens = undefined
  await call('POST', '/api/logout', {refresh_token: last.refresh_token})
})

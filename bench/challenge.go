package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// siteCookies are those that the site itself has set in the player's browser.
const siteCookies = "_theme=dark; _lang=en; " + sessionCookie + "=" + session

// passChallenge passes a challenge over JSON, as an app does, and returns the
// Cookie header that the player's browser sends from then on.
func passChallenge(ctx context.Context, p *process) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ours := new(jar)
	opened, err := ours.ask(ctx, p, "GET", guardedPath, "")
	if err != nil {
		return "", err
	}
	if opened.status != http.StatusUnauthorized || opened.Challenge.URL == "" {
		return "", fmt.Errorf("the guarded path answers %d, want 401 with a challenge; the gateway printed:\n%s", opened.status, p.printed())
	}
	var code string
	select {
	case code = <-p.codes:
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the code: %w", ctx.Err())
	}
	passed, err := ours.ask(ctx, p, "POST", opened.Challenge.URL, fmt.Sprintf(`{"factor":"sms","code":%q}`, code))
	if err != nil {
		return "", err
	}
	if passed.status != http.StatusOK {
		return "", fmt.Errorf("the code is answered %d, want 200", passed.status)
	}
	if len(ours.cookies) == 0 {
		return "", errors.New("the right code gives no cookie")
	}
	// The first request after it may get a session pass.
	first, err := ours.ask(ctx, p, "GET", guardedPath, "")
	if err != nil {
		return "", err
	}
	if first.status != http.StatusOK {
		return "", fmt.Errorf("the guarded path answers %d after the code, want 200", first.status)
	}
	return ours.header(), nil
}

// jar holds what Stepgate has set in the player's browser beside the site's own
// cookies.
type jar struct{ cookies []*http.Cookie }

// set keeps a cookie, in place of one of the same name.
func (j *jar) set(c *http.Cookie) {
	j.cookies = slices.DeleteFunc(j.cookies, func(old *http.Cookie) bool { return old.Name == c.Name })
	j.cookies = append(j.cookies, c)
}

// header returns the Cookie header with the site's cookies and ours.
func (j *jar) header() string {
	header := siteCookies
	for _, c := range j.cookies {
		header += "; " + c.Name + "=" + c.Value
	}
	return header
}

// reply is an answer of the JSON API.
type reply struct {
	status    int
	Challenge struct {
		URL string `json:"url"`
	} `json:"challenge"`
}

// ask sends one request as a script does, and keeps the cookies that it gets.
func (j *jar) ask(ctx context.Context, p *process, method, path, body string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Host = host
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Mode", "cors")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Cookie", j.header())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		j.set(c)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return reply{}, err
	}
	answer := reply{status: res.StatusCode}
	if !strings.Contains(res.Header.Get("Content-Type"), "json") {
		return answer, nil // a page of the site
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return reply{}, fmt.Errorf("reading the answer %d: %w", res.StatusCode, err)
	}
	return answer, nil
}

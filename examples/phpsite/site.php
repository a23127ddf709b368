<?php

/*
 * An example site in plain PHP, as there are many: a script for each page, PHP's own
 * sessions, and /me.php, which tells scripts who is logged in. Players take money out,
 * change their e-mail address and have a new password mailed. This file is what the
 * scripts in public/ share.
 *
 * Its session: PHP's, under an id in the cookie PHPSESSID that stays the same over
 * login and logout. The site never calls session_regenerate_id, and takes any id that
 * a browser comes with (session.use_strict_mode is off, as PHP has it by default). So
 * one and the same cookie is a stranger's, then a player's, then another player's.
 * Logging out takes a link.
 *
 * Everything is plain text in the folder PHPSITE_DATA: players.json, a ledger for each
 * player with a line of number, amount and account for each withdrawal, mail.txt with
 * what was mailed, and PHP's sessions. The players and their password are public:
 * never put it on a network.
 *
 * To see it: PHPSITE_DATA=$(mktemp -d) php -S 127.0.0.1:8080 -t examples/phpsite/public
 */

declare(strict_types=1);

define('FOLDER', getenv('PHPSITE_DATA') ?: exit('Set PHPSITE_DATA to a folder.'));
session_save_path(FOLDER);
session_start(['use_strict_mode' => 0, 'cookie_httponly' => 1, 'cookie_samesite' => 'Lax']);

const PLAYERS = [
    'budi' => ['id' => 31, 'email' => 'budi@example.com', 'phone' => '+6281234567821'],
    'sari' => ['id' => 32, 'email' => 'sari@example.com', 'phone' => '+6281234567822'],
    'agus' => ['id' => 33, 'email' => 'agus@example.com', 'phone' => '+6281234567823'],
    'dewi' => ['id' => 34, 'email' => 'dewi@example.com', 'phone' => ''],
];

// players returns all players by their names, after a change of them if there is one.
function players(?callable $change = null): array
{
    $file = fopen(FOLDER . '/players.json', 'c+');
    flock($file, LOCK_EX);
    $players = json_decode(stream_get_contents($file), true)
        ?? array_map(fn($p) => $p + ['password' => 'rahasia', 'mailed' => '', 'balance' => 10_000_000], PLAYERS);
    if ($change) {
        $change($players);
        ftruncate($file, 0);
        rewind($file);
        fwrite($file, json_encode($players, JSON_PRETTY_PRINT));
    }
    fclose($file);
    return $players;
}

// me returns the player who is logged in, and sends to the login who is not.
function me(): array
{
    $name = $_SESSION['player'] ?? go('/login.php');
    return ['username' => $name] + players()[$name];
}

// given returns a field of a form, "" if it is not there.
function given(string $name): string
{
    $value = $_POST[$name] ?? '';
    return is_string($value) ? trim($value) : '';
}

function go(string $to): never
{
    header("Location: $to", true, 303);
    exit;
}

function posted(): bool
{
    return $_SERVER['REQUEST_METHOD'] === 'POST';
}

// text escapes what stands in a page.
function text(int|string $value): string
{
    return htmlspecialchars((string) $value, ENT_QUOTES);
}

// page answers with a page. main is HTML; a problem makes it a 422.
function page(string $title, string $main, string $problem = ''): never
{
    http_response_code($problem ? 422 : 200);
    header('Cache-Control: no-store');
    $name = $_SESSION['player'] ?? '';
    $links = $name
        ? '<b>' . text($name) . '</b> <a href="/withdraw.php">Dompet</a> <a href="/email.php">Email</a> <a href="/logout.php">Keluar</a>'
        : '<a href="/login.php">Masuk</a>';
    $problem = $problem ? '<p role="alert">' . text($problem) . '</p>' : '';
    echo <<<HTML
        <!doctype html>
        <html lang="id">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>$title – Bingo Mawar</title>
        </head>
        <body>
        <nav><a href="/">Bingo Mawar</a> $links</nav>
        <main>
        <h1>$title</h1>
        $problem
        $main
        </main>
        <footer>Hanya contoh: tidak ada uang sungguhan di sini. 18+</footer>
        </body>
        </html>

        HTML;
    exit;
}

<?php

// Who is logged in, for scripts. The id of a stranger is null.

require __DIR__ . '/../site.php';

$name = $_SESSION['player'] ?? null;
$me = $name ? players()[$name] : null;
header('Content-Type: application/json');
header('Cache-Control: no-store');
echo json_encode(['id' => $me['id'] ?? null, 'login' => $name, 'email' => $me['email'] ?? null, 'phone' => $me['phone'] ?? null]);

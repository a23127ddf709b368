<?php

require __DIR__ . '/../site.php';

unset($_SESSION['player']); // the session and its id stay
go('/login.php');
